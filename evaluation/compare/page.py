from evaluation.compare.result import Comparison
def page(c: Comparison) -> str: return ""
def leaderboard_page(c: Comparison) -> str: return ""
