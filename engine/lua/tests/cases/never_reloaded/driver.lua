local M = load_module()
expect_text(reload_fails("m"), "module `m` cannot be reloaded: it is never reloaded: its `__reload` says never")
expect(M.f(), "old")
expect_text(reload_fails("unknown"), "there is no such module")
