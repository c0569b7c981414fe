local M = load_module()
M.swap()
expect(M.call_swapped(), "old other")
local report = reload()
expect(M.call(), "new")
-- Set at run time, so kept; and it is the new version of what it was set to.
expect(M.call_swapped(), "new other")
expect_line(report, "kept local swapped")
expect_line(report, "applied function helper")
