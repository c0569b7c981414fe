local shared = { hp = 1 }
local M = { a = shared, b = shared }
M.self = M
M.ring = { name = "first" }
M.ring.next = { name = "second", next = M.ring }
M.list = { 1, 2, 3 }
M.map = { x = 1, sub = { y = 1 } }
return M
