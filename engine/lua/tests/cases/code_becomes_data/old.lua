local M = { to_code = 5 }
function M.to_data() return 1 end
local cell = 1
local function cell_function() end
function M.get() return cell, cell_function end
return M
