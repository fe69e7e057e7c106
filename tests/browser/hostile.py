"""Titles and names that attack a page; each is a format with one place."""

# Each would leave a mark on `window` or the document, or load something, if it came alive.
HOSTILE = (
    "<script>window.hacked = 1</script>{}",
    '"><img src=x onerror="window.hacked = 1">{}',
    "</script><script>window.hacked = 1</script>{}",
    "{{% raw %}}{{{{ 7 * 7 }}}}{}",
    "javascript:window.hacked=1//{}",
    "=cmd|' /C calc'!A0 {}",
    "\u202eright to left {}",
    "<!--<script>{}",
)
HOSTILE_GENRE = "<b onmouseover=window.hacked=1>{}</b>"
