local count = 0
local M = {}
function M.add() count = count + 1 return count end
return M
