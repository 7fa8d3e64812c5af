import threading

import pytest
from django.db import connection
from tenancy.locks import advisory_lock


def test_another_waits_until_the_first_is_done(committed_db):
    done, waiting = [], threading.Event()

    def second():
        with advisory_lock("this", on_wait=waiting.set):
            done.append("second")
        connection.close()

    with advisory_lock("this"), advisory_lock("that"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        done.append("first")
    thread.join()

    assert done == ["first", "second"]


def test_who_would_wait_may_give_up(db):
    def give_up():
        raise TimeoutError

    with advisory_lock("this"), pytest.raises(TimeoutError), advisory_lock("this", on_wait=give_up):
        pass

    with advisory_lock("this", on_wait=give_up):
        pass  # neither holds it any more
