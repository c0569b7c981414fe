local M = { config = { speed = 1, old = true, levels = { { hp = 1 }, { hp = 2 } } }, state = { n = 1 } }
M.__reload = { replace = { "config" } }
return M
