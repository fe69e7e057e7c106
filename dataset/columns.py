"""Names of the columns that cross a border, each written once."""

USER_ID = "user_id"
ITEM_ID = "item_id"
RATING = "rating"
TIMESTAMP_S = "timestamp_s"
WEIGHT = "weight"
EVENT = "event"
TITLE = "title"

RANK = "rank"
SCORE = "score"
ORIGIN = "origin"
