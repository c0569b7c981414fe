local M = load_module()
local f = M.make(1, 2)
local report = reload()
expect((f()), "old")
expect((M.make(1, 2)()), "new")
expect_line(report, "not applied function at line 3: closures that were made before never captured `b`")
expect(draining(), "m 1: function at line 3")
f = nil
expect(draining(), "")
