local M = { number = 10, text = "b", flag = false, float = 2 }
local counter = 100
function M.count() counter = counter + 1 return counter end
function M.counter() return counter end
return M
