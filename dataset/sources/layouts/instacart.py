"""Instacart: orders of users, and the products of each order; there are no times, but an order of orders."""

import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.errors import TableError
from belfry.dataset.sources.layouts.places import Place
from belfry.dataset.sources.reading import Reading
from belfry.dataset.tables import ReadingNote, Tables

_ORDERS = "orders.csv"
_PRODUCTS_OF_ORDERS = "order_products__*.csv"
ORDER = "order_number"
_NOTE = (
    f"orders have no times; {ORDER} says which came first, and products are bought again: pass --set "
    f"data.order={ORDER} "
    "--repeats allow"
)


def is_instacart(place: Place) -> bool:
    orders, of_orders = place.matching(_ORDERS), place.matching(_PRODUCTS_OF_ORDERS)
    wanted = {"order_id", "user_id", ORDER}
    return bool(orders and of_orders) and wanted <= place.first_names(orders[0])


def read_instacart(place: Place) -> Tables:
    """A row for each product of an order, and items with title, aisle and department where their files are there.

    Raises:
        TableError: a column is missing, or products belong to an order that is not in `orders.csv`.
    """
    orders = _table(place, place.matching(_ORDERS)[0], ("order_id", columns.USER_ID, ORDER))
    files = place.matching(_PRODUCTS_OF_ORDERS)
    wanted = ("order_id", "product_id")
    rows = pa.concat_tables([_table(place, name, wanted).select(wanted) for name in files])
    found = pc.index_in(rows["order_id"], value_set=orders["order_id"].combine_chunks())
    if found.null_count:
        raise TableError(
            f"{place.label}: {found.null_count:,} products belong to orders that {_ORDERS} lacks; fetch it again"
        )
    interactions = pa.table(
        {
            columns.USER_ID: orders[columns.USER_ID].take(found),
            columns.ITEM_ID: rows["product_id"],
            ORDER: orders[ORDER].take(found),
        }
    )
    return Tables(interactions, _items(place), notes=(ReadingNote("interactions", _NOTE),))


def _items(place: Place) -> pa.Table | None:
    names = place.matching("products.csv")
    if not names:
        return None
    products = _table(place, names[0], ("product_id", "product_name"))
    items = pa.table({columns.ITEM_ID: products["product_id"], columns.TITLE: products["product_name"]})
    for kind in ("aisle", "department"):
        files = place.matching(f"{kind}s.csv")
        if files and f"{kind}_id" in products.column_names:
            kinds = _table(place, files[0], (f"{kind}_id", kind))
            at = pc.index_in(products[f"{kind}_id"], value_set=kinds[f"{kind}_id"].combine_chunks())
            items = items.append_column(kind, kinds[kind].take(at))
    return items


def _table(place: Place, name: str, wanted: tuple[str, ...]) -> pa.Table:
    table = place.read(name, Reading()).table
    missing = [column for column in wanted if table.column_names.count(column) != 1]
    if missing:
        raise TableError(f"{place.label}: {name}: column {missing[0]!r} is needed once; fetch it again")
    return table
