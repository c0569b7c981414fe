local M = load_module()
local config, levels, first = M.config, M.config.levels, M.config.levels[1]
config.speed = 100
M.state.n = 50
local report = reload()
expect(M.config, config)
expect(config.speed, 2)
expect(config.old, nil)
expect(config.levels, levels)
expect(#levels, 1)
expect(levels[1], first)
expect(first.hp, 5)
expect(M.state.n, 50)
expect_line(report, "applied m.config: its content is the source's")
