"""What the stores keep of signing in: token families, second factors, and the audit, which nothing changes."""

import apsw
import msgspec
import pytest

from arbiter.domain.audit import record
from arbiter.domain.families import Family
from arbiter.domain.ids import UserId
from arbiter.domain.second_factor import SecondFactor
from arbiter.store.base import AddAudit, DropFamily, DropSecondFactor, PutFamily, PutSecondFactor
from arbiter.store.memory import MemoryStore
from arbiter.store.sqlite import InlineRunner, SqliteStore

ANN = UserId("ann")
FAMILY = Family("f1", "h1", ANN, 0, (b"\x00\xff",), b"", 5, 9)
FACTOR = SecondFactor(ANN, b"\x01sealed", 7, (b"one", b"two"), 5)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    await store.open()
    yield store
    await store.close()


async def test_a_family_is_kept_changed_and_forgotten(store):
    other = msgspec.structs.replace(FAMILY, id="f2")
    await store.commit([(PutFamily(FAMILY), PutFamily(other))])
    later = msgspec.structs.replace(FAMILY, current=(b"n",), used=b"\x00\xff")
    await store.commit([(PutFamily(later),)])
    assert await store.families() == [later, other]
    await store.commit([(DropFamily("f1"), DropFamily("nothing"))])
    assert await store.families() == [other]


async def test_a_second_factor_is_kept_changed_and_forgotten(store):
    await store.commit([(PutSecondFactor(FACTOR),)])
    later = msgspec.structs.replace(FACTOR, last_step=8, recovery=(b"two",))
    await store.commit([(PutSecondFactor(later),)])
    assert await store.second_factors() == [later]
    await store.commit([(DropSecondFactor(ANN), DropSecondFactor(UserId("nobody")))])
    assert await store.second_factors() == []


async def test_the_audit_is_read_in_its_order_in_parts(store):
    made = [record(number, "ann", "method", "target", "", "OK") for number in range(5)]
    await store.commit([(AddAudit(made[0]), AddAudit(made[1])), tuple(AddAudit(each) for each in made[2:])])
    read = [*await store.audit_after(0, 2), *await store.audit_after(2, 10)]
    assert [numbered.sequence for numbered in read] == [1, 2, 3, 4, 5]
    assert [numbered.record for numbered in read] == made
    assert await store.audit_after(5, 10) == []


@pytest.mark.parametrize("sql", ["UPDATE audit SET who = 'bob'", "DELETE FROM audit"])
async def test_the_file_itself_refuses_to_change_the_audit(tmp_path, sql):
    store = SqliteStore(tmp_path / "arbiter.db", InlineRunner)
    await store.open()
    await store.commit([(AddAudit(record(1, "ann", "method", "", "", "OK")),)])
    other = apsw.Connection(str(tmp_path / "arbiter.db"))
    with pytest.raises(apsw.ConstraintError, match="only added to"):
        other.execute(sql)
    other.close()
    assert len(await store.audit_after(0, 10)) == 1
    await store.close()
