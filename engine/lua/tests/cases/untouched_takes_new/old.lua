local M = { number = 1, text = "a", list = { 1, 2 }, edited = { 1 }, deep = { x = 1, y = 1 } }
local speed, hits = 3, 0
function M.speed() return speed end
function M.hit() hits = hits + 1 return hits end
return M
