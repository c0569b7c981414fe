local hot = require "hot"
local M = {}
function M.left() return hot.data.left end
return M
