import threading

import pytest
from django.db import connection

from server.tenants.locks import only_one


def test_another_waits_until_the_first_is_done(transactional_db):
    done, waiting = [], threading.Event()

    def second():
        with only_one("this", on_wait=waiting.set):
            done.append("second")
        connection.close()

    with only_one("this"), only_one("that"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        done.append("first")
    thread.join()

    assert done == ["first", "second"]


def test_who_would_wait_may_give_up(db):
    def give_up():
        raise TimeoutError

    with only_one("this"), pytest.raises(TimeoutError), only_one("this", on_wait=give_up):
        pass

    with only_one("this", on_wait=give_up):
        pass  # neither holds it any more
