local m, another = load_module(), load_module("another")
reload_fails("another", "m")
expect(m.f(), "old")
expect(another.f(), "old")
