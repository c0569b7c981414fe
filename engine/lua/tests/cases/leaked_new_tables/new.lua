shared = shared or { list = {} }
local M = { config = { speed = 1, more = 2 } }
shared.config = M.config
shared.deep = { { M.config } }
shared.list[#shared.list + 1] = M.config
return M
