local count = 0
local M = {}
local function get() return count end
M.get = get
function M.reset() count = 0 end
function M.add() count = count + 1 return get() end
return M
