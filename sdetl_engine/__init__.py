"""sdetl's engine: moving a ServiceDesk database from SQLite to PostgreSQL, and back out again, without screens.

What a caller may import is here; everything else is the engine's own business.  A run in four lines::

    settings = load_settings()
    runner = start_run(Workspace.default(), Path("tickets.db"), "embedded", settings)
    with runner.deployment:
        outcome = runner.run()

``runner.start()`` does the same in the engine's own thread: poll ``runner.reporter.latest`` for progress,
drain ``runner.reporter.events``, stop with ``runner.reporter.request_stop()``, decide with
``runner.deployment.decide()`` and look again with ``runner.reconsider()``.

Each name is imported when it is first asked for (``__init__.pyi`` says from where): a command that needs little starts
quickly.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
