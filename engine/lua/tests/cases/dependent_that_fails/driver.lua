-- Not with failures: a dependent has a transaction of its own.
local M, user = load_module(), load_module("user")
local report = reload("m")
expect(M.speed, 2)
expect(user.speed(), 1)
expect(user_loads, 1)
expect_line(report, "warning user: it may have copied values that changed, and could not be reloaded")
expect_line(report, "applied m.speed: it was 1")
