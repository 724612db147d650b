"""A connection of ovsdbapp, and how its commands are used in tests."""
import sys
import time

from ovsdbapp.backend.ovs_idl import connection, event
from ovsdbapp.schema.open_vswitch import impl_idl

TIMEOUT_S = 20


class Events:
    """The events of a connection, told to those who watch."""

    def __init__(self, idl):
        self.handler = event.RowEventHandler()
        idl.notify = self.handler.notify
        idl.notify_lock = self.handler.notify_lock


def connect(remote, lock=None):
    idl = connection.OvsdbIdl.from_server(remote, "Open_vSwitch")
    events = Events(idl)
    if lock:
        idl.set_lock(lock)
    # The library keeps one connection for each class.
    own = type("Api", (impl_idl.OvsdbIdl,), {})
    api = own(connection.Connection(idl, TIMEOUT_S))
    api.events = events.handler
    api.remote = remote
    return api


def do(command):
    return command.execute(check_error=True)


def fails(command, error=Exception):
    try:
        do(command)
    except error as found:
        return str(found)
    raise AssertionError("%s succeeded" % command)


def same(found, wanted):
    assert found == wanted, "%r is not %r" % (found, wanted)


def value(api, table, record, column):
    return do(api.db_get(table, record, column))


def eventually(what, condition):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "not in time: " + what
        time.sleep(0.002)


def main(cases):
    """Runs the case that the command line names. Arguments: the case, the database's remote."""
    name, remote = sys.argv[1:]
    {case.__name__: case for case in cases}[name](connect(remote))
