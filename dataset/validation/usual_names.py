"""Names that other people give to the columns Belfry knows: what a table lacks is looked for among them."""

import difflib
import shlex
from collections.abc import Iterable, Sequence

import pyarrow as pa

from belfry.dataset import columns

# Without case, blanks and signs; of public sets of data, and of the libraries of the field.
USUAL_NAMES = {
    columns.USER_ID: (
        "userid", "user", "uid", "usr", "userno", "usernum", "usernumber", "username", "reviewerid", "reviewer",
        "visitorid", "visitor", "customerid", "customer", "custid", "clientid", "client", "memberid", "member",
        "accountid", "account", "personid", "profileid", "playerid", "listenerid", "readerid", "buyerid", "shopperid",
        "sessionid", "msno", "userkey", "userindex", "useridx", "query",
    ),
    columns.ITEM_ID: (
        "itemid", "item", "iid", "itemno", "itemnum", "movieid", "movie", "filmid", "film", "asin", "parentasin",
        "isbn", "bookid", "book", "articleid", "article", "productid", "product", "prodid", "sku", "stockcode",
        "trackid", "track", "songid", "song", "artistid", "artist", "albumid", "businessid", "business",
        "venueid", "poiid", "gameid", "game", "appid", "videoid", "showid", "animeid", "recipeid", "newsid",
        "documentid", "docid", "contentid", "listingid", "beerid", "streamid", "itemkey", "itemindex", "itemidx",
    ),
    columns.RATING: (
        "rating", "ratings", "overall", "stars", "star", "score", "bookrating", "reviewscore", "reviewoverall",
        "userrating", "preference", "rate",
    ),
    columns.TIMESTAMP_S: (
        "timestamp", "timestamps", "ts", "time", "unixreviewtime", "unixtime", "unixtimestamp", "datetime", "date",
        "eventtime", "eventtimestamp", "createdat", "created", "tdat", "reviewtime", "ratingtimestamp", "visittime",
        "submitted", "ratedat", "watchedat", "playedat", "purchasedat", "orderdate", "invoicedate",
    ),
    columns.WEIGHT: (
        "weight", "weights", "playcount", "plays", "playcounts", "nplays", "listens", "listencount", "count", "counts",
        "quantity", "frequency",
    ),
    columns.EVENT: (
        "event", "eventtype", "action", "actiontype", "behavior", "behaviour", "behaviortype", "interaction",
    ),
}  # fmt: skip
_ID_OF = {"items": columns.ITEM_ID, "users": columns.USER_ID}  # what `id` alone is in a table


def folded(name: str) -> str:
    """A name without case, blanks and signs."""
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def names_in(table: pa.Table) -> list[str]:
    """Names of its columns; for a column of objects, those of its parts, which `--columns` takes: user.id."""
    names: list[str] = []
    for field in table.schema:
        is_object = pa.types.is_struct(field.type)
        names += [f"{field.name}.{part.name}" for part in field.type] if is_object else [field.name]
    return names


def usual_name(wanted: str, names: Iterable[str], table: str = "interactions") -> str | None:
    """The one of `names` that people mean by it; None where there is none."""
    names = [name for name in names if name not in columns.OF_INTERACTIONS and name.isprintable()]
    by_folded: dict[str, str] = {}
    for name in names:
        by_folded.setdefault(folded(name), name)
    for usual in (folded(wanted), *USUAL_NAMES.get(wanted, ())):
        if usual in by_folded:
            return by_folded[usual]
    if _ID_OF.get(table) == wanted and "id" in by_folded:
        return by_folded["id"]
    near = difflib.get_close_matches(wanted, {name.casefold(): name for name in names}, n=1, cutoff=0.8)
    return next((name for name in names if near and name.casefold() == near[0]), None)


def is_usual(name: str) -> bool:
    """Whether it is a name that people give to a column."""
    return name in columns.OF_INTERACTIONS or any(folded(name) in usual for usual in USUAL_NAMES.values())


def remedy(missing: Sequence[str], names: list[str], table: str = "interactions") -> str:
    """What to do where the columns `missing` are.

    A whole `--columns` where they are there by usual names, with the other columns of which that is so.
    """
    pairs: dict[str, str] = {}
    for wanted in missing:
        name = usual_name(wanted, [one for one in names if one not in pairs.values()], table)
        if name is None:
            option = ",".join(f"{one}={pairs.get(one, 'NAME')}" for one in missing)
            them, one_holds = ("it", "one holds it") if len(missing) == 1 else ("them", "ones hold them")
            return f"add {them}, or say which {one_holds}: --columns {shlex.quote(option)}"
        pairs[wanted] = name
    has_parts = any("." in name for name in pairs.values())
    renames = " and ".join(f"{name!r} to {wanted!r}" for wanted, name in pairs.items())
    of_table = columns.OF_INTERACTIONS if table not in _ID_OF else (_ID_OF[table],)
    for other in of_table:
        if other not in names and other not in pairs:
            found = usual_name(other, [one for one in names if one not in pairs.values()], table)
            if found is not None:
                pairs[other] = found
    ordered = [f"{one}={pairs[one]}" for one in (*columns.OF_INTERACTIONS, *missing) if one in pairs]
    option = shlex.quote(",".join(dict.fromkeys(ordered)))
    return f"pass --columns {option}" if has_parts else f"rename {renames}, or pass --columns {option}"
