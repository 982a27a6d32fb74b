"""Redis, an exchange, the service and a display: started in order, ended in order."""

import atexit
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from subprocess import Popen
from types import FrameType, TracebackType
from typing import NoReturn

from signal_generator.connection import Connection
from signal_generator.launch import account as accounts
from signal_generator.launch import display, exchange, folders, redis_server, service
from signal_generator.launch import service_settings as settings
from signal_generator.launch.account import Account
from signal_generator.launch.child import Child, Program, Spawn
from signal_generator.launch.deadline import Deadline
from signal_generator.launch.options import Endpoints, LaunchError, StackOptions
from signal_generator.launch.service_settings import Names
from signal_generator.launch.surroundings import Surroundings
from signal_generator.runtime import Stop

STOP_WITHIN = 5.0
_FOR_THE_REST = 1.0
"""Of that for what stands behind the service: a Redis that ends, ends in milliseconds."""


class Stack:
    """What it starts, it stops; what it finds running, it leaves alone.

    Every program also ends by itself when this process does, however that ends.

    Args:
        options: see :class:`StackOptions`.
        report: is given one line at a time, for the user.
        stop: ends a start that waits; for who turns Ctrl-C and SIGTERM into such a flag.
        spawn: how a program is started.
    """

    def __init__(
        self,
        options: StackOptions,
        report: Callable[[str], None],
        *,
        stop: Stop | None = None,
        spawn: Spawn = Child,
    ) -> None:
        self._options = options
        self._report = report
        self._spawn = spawn
        self._within = partial(Deadline, stop=stop)
        self._surroundings = Surroundings({})
        # Reentrant: a second Ctrl-C or SIGTERM may call stop() out of the middle of stop().
        self._mutex = threading.RLock()
        self._programs: dict[str, Program] = {}
        self._owner = 0
        self._before: signal.Handlers | Callable[..., object] | int | None = None
        self._temporary: Path | None = None
        self._clean = True
        self._serving: tuple[Connection, Path, Names, str] | None = None
        self._forget: tuple[str, ...] = ()
        self._borrowed: service.Borrowed | None = None

    @property
    def processes(self) -> Mapping[str, "Popen[bytes]"]:
        """What was started and not stopped yet, by name."""
        return {name: program.process for name, program in self._programs.items()}

    def start(self) -> Endpoints:
        """Start what does not run yet and wait until orders can be sent.

        Raises:
            LaunchError: it cannot; nothing that was started runs any more.
        """
        if self._owner:
            raise RuntimeError("a stack is started once")
        self._owner = os.getpid()
        self._watch_for_the_end()
        try:
            self._surroundings = Surroundings.read(self._options.environ)
            return self._start()
        except BaseException:
            self.stop()
            raise

    def trouble(self) -> str:
        """One sentence when a program has ended before it was stopped, or a service that is not
        ours has gone; empty while all is well."""
        for name, program in list(self._programs.items()):
            if name != "display" and program.code is not None:
                return f"the {program.name} has ended by itself: {program.last_words()}"
        return self._borrowed.trouble() if self._borrowed is not None else ""

    def stop_service(self, seconds: float = STOP_WITHIN - _FOR_THE_REST) -> None:
        """End the service and the display alone: what the service told last can still be read."""
        if os.getpid() == self._owner:
            with self._mutex:
                self._clean &= self._end(("service", "display"), Deadline(seconds))

    def renew_service(self) -> bool:
        """End the service and start it anew: what waited in it, or before it, is never sent.

        Returns:
            False where it is not ours: then nothing has happened.

        Raises:
            LaunchError: it does not start again.
        """
        with self._mutex:
            if self._serving is None or "service" not in self._programs:
                return False
            connection, folder, names, redis_url = self._serving
            self._end(("service",), Deadline(STOP_WITHIN - _FOR_THE_REST))
            self._start_service(connection, folder, names, redis_url)
            program = self._programs["service"]
            # Not within a time that Ctrl-C ends: it is what asked for this.
            service.await_ready(program, redis_url, names, Deadline, self._report)
            return True

    def stop(self, seconds: float = STOP_WITHIN) -> None:
        """End what was started, the service first; may be called again, and from `atexit`.

        SIGTERM, and where that does not help in time SIGKILL: the ledger knows what was sent.
        """
        if os.getpid() != self._owner:
            return  # a fork of the strategy's, which has started nothing
        with self._mutex:
            deadline = Deadline(seconds)
            # While the service ends it still needs the broker and Redis: the ends of its orders.
            self.stop_service(max(0.0, seconds - _FOR_THE_REST))
            self._end(("simulator", "Redis"), deadline)
            if self._forget:
                redis_server.forget(*self._forget)
                self._forget = ()
            self._discard(clean=self._clean)
            self._forget_the_end()

    def __enter__(self) -> Endpoints:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- starting -----------------------------------------------------------------------------

    def _start(self) -> Endpoints:
        if self._options.use_alpaca:
            connection = self._alpaca()
            account = accounts.ask(connection, self._within, self._report)
            folder = folders.folder_of(self._surroundings, connection.trading_url, account)
            names = settings.names_for(self._surroundings, connection.trading_url, account)
            redis_url = self._redis(folder)
        else:
            folder = self._temporary = Path(tempfile.mkdtemp(prefix="signalpaca-simulator-"))
            (folder / "logs").mkdir()
            names = settings.names_for_simulator(self._surroundings)
            self._add(
                exchange.start(self._spawn, self._surroundings, folder, self._options.tickers)
            )
            redis_url = self._redis(folder)
            connection = exchange.await_connection(self._programs["simulator"], self._within)
            account = accounts.ask(connection, self._within, self._report)
        return self._serve(connection, account, folder, names, redis_url)

    def _alpaca(self) -> Connection:
        keys = {
            "ALPACA_API_KEY": self._options.api_key,
            "ALPACA_SECRET_KEY": self._options.secret_key,
        }
        gone = {*keys, "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"}
        gone |= {f"{name}_FILE" for name in gone}
        kept = {n: text for n, text in self._surroundings.merged().items() if n not in gone}
        try:
            return Connection.from_env({**kept, **keys})
        except ValueError as error:
            raise LaunchError(str(error)) from None

    def _redis(self, folder: Path) -> str:
        if url := redis_server.existing(self._surroundings):
            return url
        self._report("no Redis answers at redis://localhost:6379: one is started for this run")
        program = redis_server.start(
            self._spawn, self._surroundings, folder, real=self._options.use_alpaca
        )
        self._add(program)
        return redis_server.await_address(program, self._within)

    def _serve(
        self,
        connection: Connection,
        account: Account,
        folder: Path,
        names: Names,
        redis_url: str,
    ) -> Endpoints:
        other = next(iter(service.find(redis_url, names.live_group)), None)
        if other is None:
            self._report(settings.limits_line(self._surroundings))
            self._report(f"ledger and logs: {folder}; status: CONSUMER_GROUP={names.group}")
            self._start_service(connection, folder, names, redis_url)
            other = service.await_ready(
                self._programs["service"], redis_url, names, self._within, self._report
            )
            if other is not None:  # as a standby behind it ours would wait for ever
                self._end(("service",), Deadline(STOP_WITHIN))
        if other is not None:
            service.check(other, names, connection.trading_url, account)
            self._borrowed = service.Borrowed(redis_url, names.live_group)
            self._report(
                f"warning: {other.name} executes already for {names.live_group} and is used as it "
                "is: num_workers, the rate limit and all other limits are what it was started with"
            )
        if self._options.live_display:
            self._add(
                display.start(self._spawn, self._surroundings, self._options, redis_url, names)
            )
        told = other.executions if other is not None else ""
        return Endpoints(
            redis_url=redis_url,
            stream=names.stream,
            executions_stream=told or names.live_executions,
            group=names.live_group,
            connection=connection,
            service_is_ours=other is None,
        )

    def _start_service(
        self, connection: Connection, folder: Path, names: Names, redis_url: str
    ) -> None:
        self._serving = connection, folder, names, redis_url
        workers = self._options.workers or settings.WORKERS
        environ = settings.service_environment(
            self._options,
            self._surroundings,
            connection=connection,
            redis_url=redis_url,
            names=names,
            folder=folder,
            since_ms=redis_server.now_ms(redis_url),
        )
        words = ["solution", "-w", str(workers)]
        self._add(self._spawn("service", words, environ, folder / "service.out"))
        if self._temporary is not None and "Redis" not in self._programs:
            control = f"signalpaca:control:{names.live_group}"
            self._forget = (redis_url, names.stream, names.live_executions, control)

    def _add(self, program: Program) -> None:
        self._programs[program.name] = program

    # --- stopping -----------------------------------------------------------------------------

    def _end(self, names: tuple[str, ...], deadline: Deadline) -> bool:
        """Whether all of them that ran ended well by themselves."""
        clean = True
        found = [self._programs[name] for name in names if name in self._programs]
        for program in found:
            program.terminate()
        for program in found:
            clean &= program.end(deadline) and program.code == 0
            if program.name == "display":
                display.restore_terminal(program)
            # Only now: whoever is interrupted here comes back and ends the rest.
            self._programs.pop(program.name, None)
        return clean

    def _discard(self, *, clean: bool) -> None:
        """A simulated run leaves nothing behind, unless something went wrong."""
        folder, self._temporary = self._temporary, None
        if folder is not None and clean:
            shutil.rmtree(folder, ignore_errors=True)
        elif folder is not None:
            self._report(f"the logs of the simulated run are in {folder}")

    def _watch_for_the_end(self) -> None:
        """Of the interpreter, and of a process that is told to end and would not run `finally`."""
        atexit.register(self.stop)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._before = signal.SIG_DFL
            signal.signal(signal.SIGTERM, _leave)

    def _forget_the_end(self) -> None:
        atexit.unregister(self.stop)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and self._before is not None and signal.getsignal(signal.SIGTERM) is _leave:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._before = None


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM as an exception, so that everything is put in order on the way out."""
    raise SystemExit(128 + number)
