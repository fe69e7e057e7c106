"""Names of the columns that cross a border, each written once."""

USER_ID = "user_id"
ITEM_ID = "item_id"
RATING = "rating"
TIMESTAMP_S = "timestamp_s"
WEIGHT = "weight"
EVENT = "event"
TITLE = "title"
ORDER = "event_order"  # of a checked table whose rows stand in order, their places
OF_INTERACTIONS = (USER_ID, ITEM_ID, RATING, TIMESTAMP_S, WEIGHT, EVENT)

RANK = "rank"
SCORE = "score"
ORIGIN = "origin"
EXPECTED_RATING = "expected_rating"
PROPENSITY = "propensity"
