shared = shared or { list = {} }
local M = { config = { speed = 1 } }
shared.config = M.config
shared.deep = { { M.config } }
shared.list[#shared.list + 1] = M.config
return M
