local M = load_module()
M.ticker() M.ticker()
reload()
-- A function in a field: the new one wins, and shares the variable.
local name, ticks = M.ticker()
expect(name, "new")
expect(ticks, 3)
expect(M.ticks(), 3)
