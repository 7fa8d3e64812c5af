import threading
from contextlib import ExitStack

import pytest
from tenancy.locks import advisory_lock

from engine.threads import beside


def test_another_waits_until_the_first_is_done(committed_db):
    done, waiting = [], threading.Event()

    def second():
        with advisory_lock("this", on_wait=waiting.set):
            done.append("second")

    with ExitStack() as stack, advisory_lock("this"), advisory_lock("that"):
        stack.enter_context(beside(second))
        assert waiting.wait(10)
        done.append("first")

    assert done == ["first", "second"]


def test_who_would_wait_may_give_up(db):
    def give_up():
        raise TimeoutError

    with advisory_lock("this"), pytest.raises(TimeoutError), advisory_lock("this", on_wait=give_up):
        pass

    with advisory_lock("this", on_wait=give_up):
        pass  # neither holds it any more
