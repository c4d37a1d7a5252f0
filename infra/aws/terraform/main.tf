# The gateway as a Lambda function with a streaming function URL.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  parameters = "arn:${data.aws_partition.current.partition}:ssm:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:parameter"
  in_vpc     = length(var.subnet_ids) > 0
}

resource "aws_cloudwatch_log_group" "gateway" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

# Nothing but its log, its secrets and, where it is in one, its place in the VPC.
data "aws_iam_policy_document" "gateway" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.gateway.arn}:*"]
  }

  dynamic "statement" {
    for_each = length(var.secrets) > 0 ? [1] : []
    content {
      actions   = ["ssm:GetParameter"]
      resources = [for name in values(var.secrets) : "${local.parameters}${name}"]
    }
  }

  dynamic "statement" {
    for_each = var.secrets_key == null ? [] : [var.secrets_key]
    content {
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }

  # These know no resources (Service Authorization Reference, Amazon EC2).
  dynamic "statement" {
    for_each = local.in_vpc ? [1] : []
    content {
      actions = [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
      ]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "gateway" {
  name               = var.name
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "gateway" {
  name   = "gateway"
  role   = aws_iam_role.gateway.id
  policy = data.aws_iam_policy_document.gateway.json
}

resource "aws_lambda_function" "gateway" {
  function_name    = var.name
  role             = aws_iam_role.gateway.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  architectures    = [var.architecture]
  memory_size      = var.memory_megabytes
  timeout          = var.timeout_seconds
  layers           = [var.secrets_extension]

  environment {
    variables = merge(
      var.variables,
      { FASTAPI_URL = join(",", var.origins) },
      # Read when an instance starts; none of them stands in the function's settings.
      { for name, parameter in var.secrets : name => "ssm:${parameter}" },
    )
  }

  dynamic "vpc_config" {
    for_each = local.in_vpc ? [1] : []
    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  depends_on = [aws_cloudwatch_log_group.gateway, aws_iam_role_policy.gateway]
}

resource "aws_lambda_function_url" "gateway" {
  function_name = aws_lambda_function.gateway.function_name
  # Credentials are the gateway's business.
  authorization_type = "NONE"
  invoke_mode        = "RESPONSE_STREAM"
}

resource "aws_lambda_permission" "url" {
  statement_id           = "FunctionUrl"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.gateway.function_name
  principal              = "*"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "invoke" {
  statement_id             = "FunctionUrlInvoke"
  action                   = "lambda:InvokeFunction"
  function_name            = aws_lambda_function.gateway.function_name
  principal                = "*"
  invoked_via_function_url = true
}
