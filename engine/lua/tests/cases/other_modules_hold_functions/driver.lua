local M = load_module()
M.start()
local bus = require "bus"
expect(bus.fire(), "old callback")
local report = reload("m")
expect(bus.fire(), "new callback")
expect(bus.copied(), "new")
expect(bus.version, nil)
