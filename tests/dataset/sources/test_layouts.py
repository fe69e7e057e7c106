"""Published layouts, each as a generated sample of its shape; no row of the sets themselves."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from belfry.dataset.errors import TableError
from belfry.dataset.sources.layouts.netflix import read_blocks
from belfry.dataset.sources.open import read_data
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check


def read(path: Path) -> Tables:
    return check(read_data(str(path)))[0]


def rows(tables: Tables) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in tables.interactions.to_pylist()]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding, newline="")
    return path


@pytest.mark.parametrize("name", ["reviews_Games_5.json.gz", "Games_5.json", "renamed.jsonl"])
def test_amazon_reviews(tmp_path: Path, name: str) -> None:
    reviews = [
        {"reviewerID": "A1", "asin": "0001", "overall": 5.0, "unixReviewTime": 1400000000, "style": {"Color:": " red"}},
        {"reviewerID": "A2", "asin": "B02", "overall": 2.0, "unixReviewTime": 1400000100, "helpful": [0, 1]},
    ]
    content = "\n".join(map(json.dumps, reviews)).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    expected = [("A1", "0001", 5.0, 1400000000), ("A2", "B02", 2.0, 1400000100)]
    assert rows(read(tmp_path / name)) == expected
    assert rows(read(tmp_path)) == expected


def test_amazon_reviews_of_2023_have_milliseconds_and_parents(tmp_path: Path) -> None:
    reviews = [
        {"user_id": "A1", "asin": "B1", "parent_asin": "P1", "rating": 4.0, "timestamp": 1609459200123, "title": "ok"},
        {"user_id": "A2", "asin": "B2", "parent_asin": "P2", "rating": 1.0, "timestamp": 1609459201999, "title": "no"},
    ]
    write(tmp_path / "Games.jsonl", "\n".join(map(json.dumps, reviews)))
    assert rows(read(tmp_path)) == [("A1", "P1", 4.0, 1609459200), ("A2", "P2", 1.0, 1609459201)]


def test_retailrocket_has_milliseconds_and_events(tmp_path: Path) -> None:
    text = (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n1433224214164,992329,transaction,248676,4000\n"
    )
    write(tmp_path / "events.csv", text)
    raw = read_data(str(tmp_path))
    assert rows(check(raw)[0]) == [(257597, 355908, 1433221332, "view"), (992329, 248676, 1433224214, "transaction")]
    assert any("event_weights=" in note.text for note in raw.notes)


def test_lastfm_counts_are_weights(tmp_path: Path) -> None:
    write(tmp_path / "user_artists.dat", "userID\tartistID\tweight\r\n2\t51\t13883\r\n3\t52\t11690\r\n")
    write(tmp_path / "artists.dat", 'id\tname\turl\tpictureURL\r\n51\t"Weird Name\tu\tp\r\n52\tÉtoile\tu\tp\r\n')
    tables = read(tmp_path)
    assert rows(tables) == [(2, 51, 13883.0), (3, 52, 11690.0)]
    assert tables.items is not None
    assert tables.items["title"].to_pylist() == ['"Weird Name', "Étoile"]


@pytest.mark.parametrize("place", ["folder", "zip", "file"])
def test_book_crossing_zero_is_not_rated(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "bx"
    ratings = '"User-ID";"ISBN";"Book-Rating"\r\n"7";"034545104X";"0"\r\n"8";"0155061224";"5"\r\n'
    write(folder / "BX-Book-Ratings.csv", ratings, "latin-1")
    books = (
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S"\r\n'
        '"034545104X";"Über \\"alles\\"; Band 1";"M. Müller";"2002";"Verlag";"http://x"\r\n'
        '"0155061224";"Plain";"A";"1999";"B";"http://y"\r\n'
    )
    write(folder / "BX-Books.csv", books, "latin-1")
    write(
        folder / "BX-Users.csv",
        '"User-ID";"Location";"Age"\r\n"7";"köln, nrw, germany";NULL\r\n"8";"x, y, usa";"18"\r\n',
        "latin-1",
    )
    path = folder / "BX-Book-Ratings.csv" if place == "file" else folder
    if place == "zip":
        path = tmp_path / "bx.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for one in folder.iterdir():
                archive.write(one, one.name)
    tables = read(path)
    assert rows(tables) == [(7, "034545104X", None), (8, "0155061224", 5.0)]
    if place != "file":
        assert tables.items is not None and tables.users is not None
        assert tables.items["title"].to_pylist() == ['Über "alles"; Band 1', "Plain"]
        assert tables.users.to_pylist() == [
            {"user_id": 7, "country": "germany", "age": None},
            {"user_id": 8, "country": "usa", "age": 18},
        ]


def test_netflix_blocks_in_several_files(tmp_path: Path) -> None:
    write(tmp_path / "combined_data_1.txt", "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n1488844,4,2004-10-19\n")
    write(tmp_path / "combined_data_2.txt", "9:\r\n30878,4,2005-12-26\r\n")
    write(tmp_path / "movie_titles.csv", "1,2003,Señor, the Film\n2,NULL,Two\n9,1999,Nine\n", "latin-1")
    tables = read(tmp_path)
    assert rows(tables) == [
        (1488844, 1, 3.0, 1125964800),
        (822109, 1, 5.0, 1115942400),
        (1488844, 2, 4.0, 1098144000),
        (30878, 9, 4.0, 1135555200),
    ]
    assert tables.items is not None
    assert tables.items.to_pylist()[0] == {"item_id": 1, "title": "Señor, the Film", "year": 2003}
    assert tables.items["year"].to_pylist() == [2003, None, 1999]
    assert len(rows(read(tmp_path / "combined_data_1.txt"))) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"5,3,2005-01-01\n", "its first line is no item such as '101:'"),
        (b"1:\n2:\n", "holds items alone"),
        (b"1:\n5,3,2005-01-01,x\n", "line 2 has 4 cells"),
        (b"1:\nx:\n5,3\n", "is no item such as '101:'"),
    ],
)
def test_damaged_blocks_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_blocks("blocks.txt", content)


def test_hm_keeps_the_zeros_in_front_of_articles(tmp_path: Path) -> None:
    head = "t_dat,customer_id,article_id,price,sales_channel_id\n"
    write(
        tmp_path / "transactions_train.csv", f"{head}2018-09-20,c1,0663713001,0.05,2\n2018-09-21,c2,0541518023,0.03,1\n"
    )
    write(
        tmp_path / "articles.csv", "article_id,prod_name,product_type_name\n0663713001,Top,Vest\n0541518023,Bra,Bra\n"
    )
    write(tmp_path / "customers.csv", "customer_id,FN,age,club_member_status\nc1,,49,ACTIVE\nc2,1.0,,PRE-CREATE\n")
    tables = read(tmp_path)
    assert rows(tables) == [("c1", "0663713001", 1537401600), ("c2", "0541518023", 1537488000)]
    assert tables.items is not None and tables.users is not None
    assert tables.items["item_id"].to_pylist() == ["0663713001", "0541518023"]
    assert tables.users["age"].to_pylist() == [49, None]


def test_instacart_joins_orders_and_products(tmp_path: Path) -> None:
    write(
        tmp_path / "orders.csv",
        "order_id,user_id,eval_set,order_number,order_dow,days_since_prior_order\n1,10,prior,1,2,\n2,11,prior,1,3,\n"
        "3,10,train,2,4,7.0\n",
    )
    write(
        tmp_path / "order_products__prior.csv",
        "order_id,product_id,add_to_cart_order,reordered\n2,500,1,0\n1,501,1,0\n",
    )
    write(tmp_path / "order_products__train.csv", "order_id,product_id,add_to_cart_order,reordered\n3,501,1,1\n")
    write(tmp_path / "products.csv", "product_id,product_name,aisle_id,department_id\n500,Milk,1,2\n501,Bread,3,2\n")
    write(tmp_path / "aisles.csv", "aisle_id,aisle\n1,dairy\n3,bakery\n")
    raw = read_data(str(tmp_path))
    assert raw.interactions.to_pylist() == [
        {"user_id": 11, "item_id": 500, "order_number": 1},
        {"user_id": 10, "item_id": 501, "order_number": 1},
        {"user_id": 10, "item_id": 501, "order_number": 2},
    ]
    assert raw.items is not None
    assert raw.items.to_pylist() == [
        {"item_id": 500, "title": "Milk", "aisle": "dairy"},
        {"item_id": 501, "title": "Bread", "aisle": "bakery"},
    ]
    assert any("data.order=order_number --repeats allow" in note.text for note in raw.notes)
    write(tmp_path / "order_products__train.csv", "order_id,product_id\n4,501\n")
    with pytest.raises(TableError, match=r"1 products belong to orders that orders\.csv lacks"):
        read_data(str(tmp_path))


def test_a_folder_of_ones_own_is_in_no_layout(tmp_path: Path) -> None:
    write(tmp_path / "events.csv", "user_id,item_id\n1,2\n3,4\n")
    assert rows(read(tmp_path)) == [(1, 2), (3, 4)]


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\n", b" "])
def test_a_file_without_a_line_is_in_no_layout(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "watches.csv").write_bytes(content)
    with pytest.raises(TableError, match="begins with an empty line; the first line must name the columns"):
        read_data(str(tmp_path / "watches.csv"))
