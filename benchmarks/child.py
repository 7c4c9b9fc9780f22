"""An object in a process of its own, with an allocator and a peak memory of its own."""

import multiprocessing
from contextlib import suppress


class Child:
    """An object in a process of its own.

    Arguments
    ---------
    make : callable
        Makes the object there.
    arguments : tuple
        Of ``make``.
    """

    def __init__(self, make, *arguments):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, make, arguments), daemon=True
        )
        self.process.start()
        theirs.close()
        self.fault = None  # why it no longer answers
        self._receive()  # of several made at once, the threads would hinder each other

    def ask(self, method, *arguments):
        """What a method returns there; None when the process is gone."""
        if self.fault:
            return None
        with suppress(ConnectionError):  # what follows says why
            self.connection.send((method, arguments))
        return self._receive()

    def _receive(self):
        try:
            return self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            self.fault = f"ended with status {self.process.exitcode}"
            if self.process.exitcode == -9:
                self.fault += ": killed, most likely for its memory"
            return None

    def stop(self, fault="stopped"):
        """End the process."""
        self.fault = self.fault or fault
        self.connection.close()
        self.process.join()


def _serve(connection, make, arguments):
    served = make(*arguments)
    connection.send(None)
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(served, method)(*arguments))
