-- Not with failures: who listens to `error` notes them.
local M = load_module()
load_module("other")
reload("other")
expect(M.log[1], "after other")
reload_heard("other")
expect_text(M.heard, "module `other` failed while it was loaded: other.lua:1: fails")
expect(M.log[2], nil)
