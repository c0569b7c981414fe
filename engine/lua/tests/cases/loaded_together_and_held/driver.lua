-- Not with failures: a dependent has a transaction of its own.
local m = load_module()
reload("helper")
expect(m.f(), "new")
expect(m.more(), "more")
expect(require("helper").more, "more")
