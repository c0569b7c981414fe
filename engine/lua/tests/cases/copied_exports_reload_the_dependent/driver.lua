-- Not with failures: a dependent has a transaction of its own, and if that fails the
-- reload before it stays.
load_module()
local user = load_module("user")
load_module("invalidating")
user.speed()
reload("m")
expect(user.speed(), 2)
expect(user.calls, 2, "its state is kept")
expect(loads, 2)
expect(invalidating_loads, 2)
