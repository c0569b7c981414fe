local M = { number = 2, text = "b", list = { 1, 2, 3 }, edited = { 2 }, deep = { x = 2, y = 2 } }
local speed, hits = 4, 100
function M.speed() return speed end
function M.hit() hits = hits + 1 return hits end
M.__reload = { untouched = "new" }
return M
