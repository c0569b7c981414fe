local M = load_module()
local name = M.name
M.replaced = function() return "run time" end
M.cleared = nil
local report = reload()
expect(M.name(), "new")
expect(name, M.name, "a copy in a local")
expect(M.replaced(), "new")
expect(M.cleared, nil)
expect_line(report, "applied function M.name")
expect_line(report, "applied m.replaced: it replaces what was set at run time")
expect_line(report, "kept m.cleared")
