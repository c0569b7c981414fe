local M = {}
local function first() return "old first" end
local function second() return "old second" end
M.weights = { [first] = 1, [second] = 2 }
M.first = first
function M.second() return second() end
return M
