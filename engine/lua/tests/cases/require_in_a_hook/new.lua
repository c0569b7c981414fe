local M = { name = "m" }
function M.__on_load__() require "late" end
return M
