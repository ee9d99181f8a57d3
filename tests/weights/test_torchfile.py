"""PyTorch's files, read without torch: what is in them comes out, what would run is refused, damage is told."""

import os
import pickle
import shutil
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest

from convzoo.weights import files, torchfile
from convzoo.weights.pickles import Damaged, Refused
from tests.weights import torchfiles as made

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_state_dict_comes_out(tmp_path):
    path = made.saved(tmp_path / "a.pth", {"weight": VALUES, "bias": VALUES[0]})
    found = files.read(path)
    assert found.metadata == {}
    assert list(found.state) == ["weight", "bias"]
    np.testing.assert_array_equal(found.state["weight"], VALUES)
    assert found.state["weight"].dtype == np.float32


@pytest.mark.parametrize("name", torchfile.DTYPES)
def test_every_dtype(name, tmp_path):
    dtype = np.dtype(torchfile.DTYPES[name])
    data = np.array([0, 1, 1, 0, 1], dtype)
    body = made.dict_of(x=made.tensor("0", 5, (5,), (1,), kind=f"ctorch\n{name}Storage\n".encode()))
    found = torchfile.read(made.write(tmp_path / "a.pt", body, {"0": data.tobytes()}))["x"]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.astype(float), data.astype(float))


def test_views_share_a_storage(tmp_path):
    body = made.dict_of(
        turned=made.tensor("0", 6, (3, 2), (1, 3)),
        part=made.tensor("0", 6, (2,), (3,), 1),
        one=made.tensor("0", 6, (), (), 5),
        none=made.tensor("0", 6, (0, 3), (3, 1)),
    )
    found = torchfile.read(made.write(tmp_path / "a.bin", body, {"0": VALUES.tobytes()}))
    np.testing.assert_array_equal(found["turned"], VALUES.T)
    np.testing.assert_array_equal(found["part"], VALUES[:, 1])
    assert found["one"] == 5
    assert found["one"].shape == ()
    assert found["none"].shape == (0, 3)


@pytest.mark.parametrize("key", ["state_dict", "model", "state_dict_ema", "model_ema"])
def test_a_state_dict_inside_a_checkpoint(key, tmp_path):
    inner = made.dict_of(x=made.tensor("0", 6, (2, 3), (3, 1)))
    body = made.dict_of(epoch=made.number(3), **{key: inner}, name=made.text("run"))
    state = files.read(made.write(tmp_path / "a.pth", body, {"0": VALUES.tobytes()})).state
    np.testing.assert_array_equal(state["x"], VALUES)


def test_averaged_weights_come_first(tmp_path):
    bodies = {key: made.dict_of(**{key: made.tensor("0", 6, (6,), (1,))}) for key in ("state_dict", "state_dict_ema")}
    state = files.read(made.write(tmp_path / "a.pth", made.dict_of(**bodies), {"0": VALUES.tobytes()})).state
    assert list(state) == ["state_dict_ema"]


def test_what_holds_no_state_dict_is_told(tmp_path):
    body = made.dict_of(epoch=made.number(3), args=made.dict_of(lr=made.number(1)))
    with pytest.raises(ValueError, match=r"no dict of arrays.*it holds epoch \(int\), args \(dict\)"):
        files.read(made.write(tmp_path / "a.pth", body))
    with pytest.raises(ValueError, match="holds a list"):
        files.read(made.write(tmp_path / "b.pth", b"]"))


CALLED: list[str] = []


def called(*_):
    CALLED.append("called")
    return {}


def touch(path) -> tuple:
    return (os.system, f"touch {path}")


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_that_a_file_asks_for_is_run(protocol, tmp_path):
    harm = tmp_path / "harm"
    evils = {
        "system": made.Evil(*touch(harm)),
        "eval": made.Evil(eval, f"open({str(harm)!r}, 'w')"),
        "nested": {"state_dict": [OrderedDict(x=made.Evil(*touch(harm)))]},
        "getattr": made.Evil(getattr, "", "join"),
        "state": made.Evil(called, state={"a": 1}),
        "class": Carrier(),
        "array": np.arange(3),
        "bytes": {"x": bytearray(b"abc")} if protocol else made.Evil(bytes, 3),
        "set": {1, 2},
        "path": tmp_path,
    }
    for name, evil in evils.items():
        path = made.write(tmp_path / f"{name}.pth", made.pickled(evil, protocol)[2 if protocol > 1 else 0 :])
        with pytest.raises((Refused, Damaged)) as error:
            torchfile.read(path)
        assert str(path) in str(error.value)
    assert not harm.exists()
    assert CALLED == []


class Carrier:
    """Its state would be set by BUILD."""

    def __init__(self):
        self.items = 3

    def __setstate__(self, state):
        CALLED.append("setstate")


ORDERED = b"ccollections\nOrderedDict\n"
SYSTEM = b"cos\nsystem\n"


@pytest.mark.parametrize(
    "body",
    [
        SYSTEM + made.tuple_of(made.text("touch harm")) + b"R",
        b"cbuiltins\neval\n" + made.tuple_of(made.text("1")) + b"R",
        b"\x8c\x02os\x8c\x06system\x93" + made.tuple_of(made.text("touch harm")) + b"R",  # STACK_GLOBAL
        b"(S'touch harm'\nios\nsystem\n",  # INST
        b"(" + SYSTEM + made.text("touch harm") + b"o",  # OBJ
        SYSTEM + b")\x81",  # NEWOBJ
        SYSTEM + b")}\x92",  # NEWOBJ_EX
        b"\x82\x01",  # EXT1
        ORDERED + b"}b",  # state for a function
        ORDERED + made.dict_of(make=made.number(1)) + b"b",
        made.FLOAT + b"}b",
        ORDERED + b"q\x00" + made.FLOAT + b"q\x00h\x00)R",  # a memo that changes its mind
        made.FLOAT + b")R",
        made.REBUILD + b")R",
        made.REBUILD + made.tuple_of(b"N", b"N", b"N", b"N", b"N", b"N") + b"R",
        b"ctorch._utils\n_rebuild_parameter\n" + made.tuple_of(made.text("x"), b"\x88", b"}") + b"R",
        b"N)R",
        b"ctorch\nload\n" + made.tuple_of(made.text("x.pth")) + b"R",
        b"ctorch.storage\n_load_from_bytes\n" + made.tuple_of(made.text("x")) + b"R",
        b"ccollections\nOrderedDict\x00\n)R",
        b"cbuiltins\ngetattr\n",
        b"ctorch._utils.os\nsystem\n",
        b"P1\n",  # PERSID
        made.text("x") + b"Q",
        made.tuple_of(made.text("storage"), ORDERED, made.text("0"), made.text("cpu"), made.number(1)) + b"Q",
        made.tuple_of(made.text("storage"), made.FLOAT, made.text("0"), made.text("cpu"), made.number(-1)) + b"Q",
        made.tuple_of(made.text("storage"), made.FLOAT, made.text("../../x"), made.text("cpu"), made.number(1)) + b"Q",
        b"}(]Nu",  # a list as a key
        b"}(Nu",
        b"u", b"t", b"R", b"0", b"2", b"h\x07", b"b", b"", b"(", b"Na",
        b"\x8a\xff",
        b"X\xff\xff\xff\x7fab",
        b"\x8d" + b"\xff" * 7 + b"\x7fab",
        b"\xff",
    ],
)  # fmt: skip
def test_machines_made_by_hand(body, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((Refused, Damaged)):
        torchfile.read(made.write(tmp_path / "a.pth", body))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_an_ordered_dict_s_metadata_is_let_go(tmp_path):
    body = ORDERED + b")R(" + made.text("x") + made.tensor("0", 6, (6,), (1,)) + b"u"
    body += made.dict_of(_metadata=ORDERED + b")R", items=made.number(1)) + b"b"
    found = torchfile.read(made.write(tmp_path / "a.pth", body, {"0": VALUES.tobytes()}))
    assert type(found) is dict
    assert list(found) == ["x"]


def test_nothing_stays_in_the_reader(tmp_path):
    """What a file tries to do to the names it may use was refused, and the next one is read as before."""
    with pytest.raises(Refused, match="changes a Call as if it were a dict"):
        torchfile.read(made.write(tmp_path / "a.pth", ORDERED + made.dict_of(make=made.number(1)) + b"b"))
    test_a_state_dict_comes_out(tmp_path)


@pytest.mark.parametrize(
    ("size", "shape", "stride", "offset"),
    [
        (6, (7,), (1,), 0),
        (6, (2, 3), (4, 1), 0),
        (6, (3,), (1,), 4),
        (6, (2,), (10**15,), 0),
        (6, (10**12, 10**12), (0, 0), 0),
        (6, (7,), (0,), 0),
        (6, (2,), (-1,), 3),
        (6, (2,), (1,), -1),
        (6, (2,), (1, 1), 0),
        (6, (1,) * 40, (1,) * 40, 0),
        (6, (), (), 6),
        (5, (5,), (1,), 0),
        (10**15, (2,), (1,), 0),
    ],
)
def test_tensors_that_leave_their_storage(size, shape, stride, offset, tmp_path):
    body = made.dict_of(x=made.tensor("0", size, shape, stride, offset))
    path = made.write(tmp_path / "a.pth", body, {"0": VALUES.tobytes()})
    with pytest.raises(Damaged, match=r"storage '0'|is not described by"):
        torchfile.read(path)


def test_a_storage_that_is_missing(tmp_path):
    body = made.dict_of(x=made.tensor("7", 6, (6,), (1,)))
    with pytest.raises(Damaged, match="storage '7' is missing; 6 values of float32 take 24"):
        torchfile.read(made.write(tmp_path / "a.pth", body, {"0": VALUES.tobytes()}))


def test_lists_that_hold_themselves_or_one_another(tmp_path):
    itself = b"]q\x00h\x00a"
    assert torchfile.read(made.write(tmp_path / "a.pth", itself)) == ["..."]
    many = b"]q\x00"
    for level in range(20):
        many += b"](" + bytes([ord("h"), level]) * 50 + b"eq" + bytes([level + 1])
    torchfile.read(made.write(tmp_path / "b.pth", many))  # 50 to the power 20, were each looked at


def test_damage_is_told(tmp_path):
    path = made.saved(tmp_path / "a.pth", {"x": np.arange(10000, dtype=np.float32)})
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(Damaged, match=r"a\.pth"):
            torchfile.read(path)
    path.write_bytes(whole[:20000] + bytes([whole[20000] ^ 1]) + whole[20001:])
    with pytest.raises(Damaged, match="CRC"):
        torchfile.read(path)


def test_zips_that_torch_did_not_write(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("hello", "x")
    with pytest.raises(Damaged, match=r"0 entries 'data\.pkl'"):
        torchfile.read(tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", made.program(b"}") + b"\0" * 10**6)
    with pytest.raises(Refused, match="compressed"):
        torchfile.read(tmp_path / "b.pth")
    with pytest.raises(Refused, match="TorchScript"):
        torchfile.read(made.write(tmp_path / "c.pth", b"}", more={"code/x.py": b""}))
    with pytest.raises(Damaged, match="2 entries"):
        torchfile.read(made.write(tmp_path / "d.pth", b"}", more={"more/data.pkl": b""}))
    (tmp_path / "e.pth").write_text("hello")
    with pytest.raises(Damaged, match=r"is no file that torch\.save wrote"):
        torchfile.read(tmp_path / "e.pth")


def test_old_files_are_refused_with_the_way_to_convert(tmp_path):
    path = tmp_path / "old.pth"
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, []):
            pickle.dump(value, file, 2)
    with pytest.raises(
        Refused, match=r"before 1\.6.*torch\.save\(torch\.load\(path, weights_only=True\), 'new\.pth'\)"
    ):
        torchfile.read(path)


def test_other_suffixes(tmp_path):
    with pytest.raises(ValueError, match=r"a\.h5: files of weights end in \.safetensors, \.npz, \.pth"):
        files.read(tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError, match="not there"):
        files.read(tmp_path / "a.npz")


def test_npz(tmp_path):
    np.savez(tmp_path / "a.npz", x=VALUES)
    np.testing.assert_array_equal(files.read(tmp_path / "a.npz").state["x"], VALUES)
    np.savez(tmp_path / "b.npz", x=np.array([{}], object))
    with pytest.raises(Damaged, match=r"b\.npz is no whole \.npz file of plain arrays"):
        files.read(tmp_path / "b.npz")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_safetensors_round_trip(dtype, tmp_path):
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    state = {"x": np.array([[0, 1], [1, 0]], kind), "scalar": np.array(1, kind), "none": np.zeros((0, 2), kind)}
    files.write(tmp_path / "a.safetensors", state, {"who": "me"})
    found = files.read(tmp_path / "a.safetensors")
    assert found.metadata == {"who": "me"}
    for name, array in state.items():
        assert found.state[name].dtype == array.dtype
        assert found.state[name].shape == array.shape
        assert found.state[name].tobytes() == array.tobytes()


def test_safetensors_that_are_damaged(tmp_path):
    path = tmp_path / "a.safetensors"
    files.write(path, {"x": VALUES}, {})
    whole = path.read_bytes()
    for broken in (b"", whole[:5], whole[:-1], b"\xff" * 8 + whole[8:], whole + b"x"):
        path.write_bytes(broken)
        with pytest.raises(Damaged, match=r"a\.safetensors is no whole safetensors file"):
            files.read(path)


def test_writing_leaves_nothing_half_done(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    files.write(path, {"x": VALUES}, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"dtype that safetensors has not: y \(complex64\)"):
        files.write(path, {"y": VALUES.astype(np.complex64)}, {})
    monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write(path, {"x": VALUES + 1}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"a\.npz: weights are written as \.safetensors"):
        files.write(tmp_path / "a.npz", {}, {})
    with pytest.raises(FileNotFoundError, match="is no folder"):
        files.write(tmp_path / "no" / "a.safetensors", {}, {})
    shutil.rmtree(tmp_path)
