local M = {}
local function first() return "new first" end
local function second() return "new second" end
M.weights = { [first] = 10, [second] = 20 }
M.first = first
function M.second() return second() end
return M
