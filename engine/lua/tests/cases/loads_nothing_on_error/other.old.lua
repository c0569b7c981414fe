local cell = "cell"
local M = { value = "value" }
function M.set(value) cell = value end
function M.get() return cell end
return M
