local M = { to_data = 7 }
function M.to_code() return 2 end
local function cell() return "cell" end
local cell_function = 3
function M.get() return cell, cell_function end
function M.__hotfix(module, replaced)
    seen_module = module
    seen_number = replaced["m.to_code"]
    seen_function = replaced["m.to_data"]
end
return M
