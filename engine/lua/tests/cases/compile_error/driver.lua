local M = load_module()
local message = reload_fails("m")
expect_text(message, "module `m` does not compile: m.lua:2:")
expect(M.f(), "old")
