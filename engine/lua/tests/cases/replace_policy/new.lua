local M = { config = { speed = 2, levels = { { hp = 5 } } }, state = { n = 2 } }
M.__reload = { replace = { "config" } }
return M
