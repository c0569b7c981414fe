local M = { number = 1, text = "a", flag = true, float = 1.5 }
local counter = 0
function M.count() counter = counter + 1 return counter end
function M.counter() return counter end
return M
