"""Each Child stands in one place of one tree: two incarnations at once would share its mailbox."""

import pytest
import trio

from arbiter.runtime import Actor, Child, DynamicGroup, Environment, Group, Message, StartFailed, Supervisor


class Note(Message, frozen=True, tag=True):
    pass


class Idle(Actor[Note]):
    async def handle(self, message: Note) -> object:
        return None


def test_a_child_that_stands_in_two_groups_is_refused_when_the_tree_is_made(environment):
    child = Child("a", Idle)
    with pytest.raises(ValueError, match="root/two/a: this Child stands in a tree already, as one/a; each needs one of its own"):
        Supervisor(Group("root", [Group("one", [child]), Group("two", [child])]), environment)


async def test_a_spec_makes_one_tree_at_a_time_and_another_when_that_is_gone(environment, living, autojump_clock):
    tree = Group("root", [Child("a", Idle)])
    async with living(tree):
        with pytest.raises(ValueError, match="stands in a tree already"):
            Supervisor(tree, environment)
    one, two = Supervisor(tree, environment), Supervisor(tree, environment)
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        with pytest.raises(ValueError, match="a stands in a tree that runs already"):
            await two.run()
        one.stop()
    async with living(tree) as supervisor:
        assert [each.state for each in supervisor.statuses()] == ["running"]


def test_a_child_that_was_added_later_under_a_name_that_there_is_is_refused_when_the_tree_is_made(environment):
    tree = Group("root", [Child("a", Idle)])
    tree.children = [*tree.children, Child("a", Idle)]
    with pytest.raises(ValueError, match="root has two children of one name"):
        Supervisor(tree, environment)


async def test_a_dynamic_group_that_makes_one_child_for_two_keys_is_refused_at_the_second(living, autojump_clock):
    made: dict[str, Child[Note]] = {}
    one: DynamicGroup[Note] = DynamicGroup("one", lambda key: Child("same", Idle))
    again: DynamicGroup[Note] = DynamicGroup("again", lambda key: made.setdefault(key, Child(key, Idle)))
    async with living(Group("root", [one, again])) as supervisor:
        with pytest.raises(ValueError, match="root/one: for the key 'x' make must make a Child of that name, not 'same'"):
            one.ref("x")
        await one.start("same")
        await again.start("x")
        assert await again.stop("x")
        await again.start("x")  # the one before is gone
        assert [each.name for each in supervisor.statuses()] == ["root/one/same", "root/again/x"]
        made["y"] = made["x"]
        with pytest.raises(ValueError, match="for the key 'y' make must make a Child of that name, not 'x'"):
            again.ref("y")


async def test_a_dynamic_group_that_makes_no_child_says_so_to_who_wants_one(living, autojump_clock):
    group: DynamicGroup[Note] = DynamicGroup("group", lambda key: Idle())  # type: ignore[arg-type, return-value]
    async with living(Group("root", [group])):
        with pytest.raises(ValueError, match="for the key 'a' make must make a Child of that name, not <"):
            await group.start("a")
        assert len(group) == 0


async def test_what_makes_no_actor_fails_its_start_by_saying_so(environment, autojump_clock):
    with pytest.raises(StartFailed, match="root/a could not start: TypeError: root/a: make made no Actor but 5"):
        await Supervisor(Group("root", [Child("a", lambda: 5)]), environment).run()  # type: ignore[arg-type, return-value]


async def test_a_passive_child_keeps_its_place_and_one_that_is_gone_gives_it_up(living, autojump_clock):
    class Sleeper(Idle):
        async def handle(self, message: Note) -> object:
            self.context.passivate()
            return None

    made: dict[str, Child[Note]] = {}
    group: DynamicGroup[Note] = DynamicGroup("group", lambda key: made.setdefault(key, Child(key, Sleeper)))
    async with living(Group("root", [group])):
        ref = await group.start("a")
        await ref.tell(Note())
        await trio.sleep(1)
        assert (len(group), made["a"].placed) == (0, True)
        assert await group.stop("a")
        assert not made["a"].placed
        await group.start("a")
    assert not made["a"].placed
    Supervisor(Group("root", [made["a"]]), Environment.simulated(0))


def test_a_dynamic_group_that_stands_in_two_groups_is_refused_when_the_tree_is_made(environment):
    group: DynamicGroup[Note] = DynamicGroup("a", lambda key: Child(key, Idle))
    with pytest.raises(ValueError, match="root/two/a: this DynamicGroup stands in a tree already, as one/a; each needs one of its own"):
        Supervisor(Group("root", [Group("one", [group]), Group("two", [group])]), environment)


async def test_a_dynamic_group_stands_in_one_tree_at_a_time(environment, living, autojump_clock):
    group: DynamicGroup[Note] = DynamicGroup("a", lambda key: Child(key, Idle))
    tree, other = Group("root", [group]), Group("other", [group])
    before = Supervisor(other, environment)
    async with living(tree):
        with pytest.raises(ValueError, match="other/a: this DynamicGroup stands in a tree already, as a;"):
            Supervisor(other, environment)
        with pytest.raises(ValueError, match="a stands in a tree that runs already"):
            await before.run()
        await group.start("x")
    async with living(other):
        await group.start("x")
