-- Not with failures: who listens to `error` notes them.
local M = load_module()
local _, message = pcall(M.hot().on, "nothing", print)
expect_text(message, "there is no event `nothing`")
_, message = pcall(require, "hot")
expect_text(message, "require it where the module is loaded")
reload("m")
expect(M.left(), "by the old")
expect(table.concat(log, ", "), "before m")
