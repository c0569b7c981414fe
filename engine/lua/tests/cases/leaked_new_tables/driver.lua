-- What a source puts into tables of others is what it was merged into.
local M = load_module()
local config = M.config
config.speed = 5
reload()
expect(M.config, config)
expect(shared.config, config)
expect(shared.deep[1][1], config)
expect(shared.list[2], config)
expect(config.speed, 5)
expect(config.more, 2)
